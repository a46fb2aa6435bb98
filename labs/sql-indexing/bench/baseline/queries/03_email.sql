-- What the benchmark is held against: a pattern, in any case.
SELECT id, created_at, total_cents
FROM orders
WHERE email ILIKE $1
ORDER BY id;
