-- Exercise 6: an index for the list of all orders, the latest first.
--
-- This file is run once, statement by statement, as the owner of the tables.

CREATE INDEX orders_created_at ON orders (created_at) INCLUDE (id);
