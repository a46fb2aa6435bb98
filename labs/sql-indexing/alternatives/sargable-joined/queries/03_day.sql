-- Exercise 3: how many orders came in on the day $1?
--
-- $1 is a date, the day is one of UTC, from midnight to before the next midnight. One column,
-- called orders; one row.

WITH day AS (SELECT $1::timestamptz AS begins, $1 + interval '1 day' AS ends)
SELECT count(orders.id) AS orders
FROM day
LEFT JOIN orders ON created_at >= begins AND created_at < ends;
