-- Exercise 3: which orders were placed with the address $1?
--
-- $1 is a text. Addresses were kept as they were typed: mia_10@example.org and
-- MIA_10@EXAMPLE.ORG are one. The columns id, created_at and total_cents, ordered by id.

SELECT id, created_at, total_cents
FROM orders
WHERE upper(email) = upper($1)
ORDER BY id;
