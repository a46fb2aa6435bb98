-- Exercise 4: what has the customer $1 spent, and when?
--
-- $1 is an int. The columns created_at and total_cents, ordered by created_at.

-- BEGIN PROMPT
-- SELECT *
-- FROM orders
-- WHERE customer_id = $1
-- ORDER BY created_at;
-- END PROMPT
-- BEGIN SOLUTION
SELECT created_at, total_cents
FROM orders
WHERE customer_id = $1
ORDER BY created_at;
-- END SOLUTION
