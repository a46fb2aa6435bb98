-- Exercise 8: a migration while the shop sells.
--
-- Two things: the column packed_at, a timestamptz that is NULL for all orders there are, and a
-- unique index on orders (ref).
--
-- This file is run statement by statement, as the owner of the tables. Where it gives up on a
-- lock it is run again from its beginning, later, until it comes to its end.

-- It needs the table for itself for a moment. Whoever comes while it waits for that queues up
-- behind it, so it does not wait long.
BEGIN;
SET LOCAL lock_timeout = '1s';
ALTER TABLE orders ADD COLUMN IF NOT EXISTS packed_at timestamptz;
COMMENT ON COLUMN orders.packed_at IS 'when the parcel was closed';
COMMIT;

-- From here on nobody has to wait for us, and we may wait for anybody.
SET lock_timeout = 0;
-- What an attempt that was ended has left behind: it has the name, and is of no use.
DROP INDEX CONCURRENTLY IF EXISTS orders_ref_unique;
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS orders_ref_unique ON orders USING btree (ref);
ANALYZE orders (ref);
