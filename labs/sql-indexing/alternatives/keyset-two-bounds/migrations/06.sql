-- Exercise 6: an index for the list of all orders, the latest first.
--
-- This file is run once, statement by statement, as the owner of the tables.

CREATE INDEX orders_latest_first ON orders (created_at DESC, id DESC);
