SET lock_timeout = '2s';
ALTER TABLE orders ADD COLUMN IF NOT EXISTS packed_at timestamptz;
SET lock_timeout = 0;
DROP INDEX CONCURRENTLY IF EXISTS orders_ref_unique;
CREATE UNIQUE INDEX CONCURRENTLY orders_ref_unique ON orders (ref) INCLUDE (id);
