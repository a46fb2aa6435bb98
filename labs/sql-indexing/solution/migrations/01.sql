-- Exercise 1: a first index.
--
-- The shop asks, whenever somebody opens "my orders":
--
--     SELECT id, ref, status, total_cents FROM orders WHERE customer_id = $1 ORDER BY id
--
-- This file is run once, statement by statement, as the owner of the tables.

-- BEGIN PROMPT
-- -- What would Postgres have to find, without reading every order?
-- END PROMPT
-- BEGIN SOLUTION
CREATE INDEX orders_customer_id ON orders (customer_id);
-- END SOLUTION
