-- Exercise 6: an index for the list of all orders, the latest first.
--
-- This file is run once, statement by statement, as the owner of the tables.

-- BEGIN PROMPT
-- -- In which order does the list show the orders?
-- END PROMPT
-- BEGIN SOLUTION
CREATE INDEX orders_created_at_id ON orders (created_at, id);
-- END SOLUTION
