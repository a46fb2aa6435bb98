-- Exercise 3: how many orders came in on the day $1?
--
-- $1 is a date, the day is one of UTC, from midnight to before the next midnight. One column,
-- called orders; one row.

SELECT count(*) AS orders
FROM orders
WHERE created_at >= $1::timestamp AT TIME ZONE 'UTC'
  AND created_at < ($1 + 1)::timestamp AT TIME ZONE 'UTC';
