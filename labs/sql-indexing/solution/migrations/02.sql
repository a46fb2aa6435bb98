-- Exercise 2: a composite index.
--
-- The first screen of "my orders" shows the ten latest:
--
--     SELECT id, ref, total_cents, created_at FROM orders
--     WHERE customer_id = $1 ORDER BY created_at DESC LIMIT 10
--
-- This file is run once, statement by statement, as the owner of the tables. The index of
-- exercise 1 is not there.

-- BEGIN PROMPT
-- -- Where would the ten rows stand, side by side and in this order?
-- END PROMPT
-- BEGIN SOLUTION
CREATE INDEX orders_customer_id_created_at ON orders (customer_id, created_at);
-- END SOLUTION
