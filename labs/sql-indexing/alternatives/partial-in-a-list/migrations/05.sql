-- Exercise 5: a partial index.
--
-- The packing station asks all day long for the next twenty:
--
--     SELECT id, ref, ship_to FROM orders
--     WHERE status = 'new' ORDER BY created_at, id LIMIT 20
--
-- 2,000 of the 200,000 orders are new. This file is run once, statement by statement, as the
-- owner of the tables.

CREATE INDEX orders_to_pack ON orders (created_at, id) INCLUDE (ref)
WHERE status IN ('new');
