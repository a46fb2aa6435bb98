-- Exercise 2: a composite index.
--
-- The first screen of "my orders" shows the ten latest:
--
--     SELECT id, ref, total_cents, created_at FROM orders
--     WHERE customer_id = $1 ORDER BY created_at DESC LIMIT 10
--
-- This file is run once, statement by statement, as the owner of the tables. The index of
-- exercise 1 is not there.

CREATE INDEX ON public.orders USING btree (customer_id, created_at DESC NULLS LAST, id);
-- With NULLS LAST the order is another one, unless nothing is NULL and somebody says so.
CREATE INDEX ON orders (customer_id, created_at DESC);
