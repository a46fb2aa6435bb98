-- The column: now or never. Who is in the way is not waited for at all (55P03).
BEGIN;
LOCK TABLE orders IN ACCESS EXCLUSIVE MODE NOWAIT;
ALTER TABLE orders ADD COLUMN IF NOT EXISTS packed_at timestamptz NULL DEFAULT NULL;
COMMIT;

-- What a failed build left behind, and only that: a good index stays as it is.
SET lock_timeout = '1500ms';
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_index
        WHERE indexrelid = to_regclass('orders_ref_unique') AND NOT indisvalid
    ) THEN
        DROP INDEX orders_ref_unique;
    END IF;
END;
$$;
RESET lock_timeout;
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS orders_ref_unique ON orders (ref);
