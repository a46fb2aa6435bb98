-- Exercise 3: which orders were placed with the address $1?
--
-- $1 is a text. Addresses were kept as they were typed: mia_10@example.org and
-- MIA_10@EXAMPLE.ORG are one. The columns id, created_at and total_cents, ordered by id.

-- BEGIN PROMPT
-- SELECT id, created_at, total_cents
-- FROM orders
-- WHERE email ILIKE $1
-- ORDER BY id;
-- END PROMPT
-- BEGIN SOLUTION
SELECT id, created_at, total_cents
FROM orders
WHERE lower(email) = lower($1)
ORDER BY id;
-- END SOLUTION
