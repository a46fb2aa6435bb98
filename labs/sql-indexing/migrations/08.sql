-- Exercise 8: a migration while the shop sells.
--
-- Two things: the column packed_at, a timestamptz that is NULL for all orders there are, and a
-- unique index on orders (ref).
--
-- This file is run statement by statement, as the owner of the tables. Where it gives up on a
-- lock it is run again from its beginning, later, until it comes to its end.

ALTER TABLE orders ADD COLUMN packed_at timestamptz;
CREATE UNIQUE INDEX orders_ref_unique ON orders (ref);
