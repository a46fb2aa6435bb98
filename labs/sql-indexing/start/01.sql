-- Exercise 1: a first index.
--
-- The shop asks, whenever somebody opens "my orders":
--
--     SELECT id, ref, status, total_cents FROM orders WHERE customer_id = $1 ORDER BY id
--
-- This file is run once, statement by statement, as the owner of the tables.

-- HERE an index is missing: Postgres knows of no way to one customer but through all orders.
