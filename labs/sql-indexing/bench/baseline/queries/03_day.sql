-- What the benchmark is held against: a function around the column.
SELECT count(*) AS orders
FROM orders
WHERE date_trunc('day', created_at) = $1;
