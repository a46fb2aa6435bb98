-- What the benchmark is held against: all columns.
SELECT *
FROM orders
WHERE customer_id = $1
ORDER BY created_at;
