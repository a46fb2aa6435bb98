-- Exercise 1: a first index.
--
-- The shop asks, whenever somebody opens "my orders":
--
--     SELECT id, ref, status, total_cents FROM orders WHERE customer_id = $1 ORDER BY id
--
-- This file is run once, statement by statement, as the owner of the tables.

-- The answer comes in the order of the ids: the index has it ready.
CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_customer_id_id ON orders (customer_id, id);
ANALYZE orders;
