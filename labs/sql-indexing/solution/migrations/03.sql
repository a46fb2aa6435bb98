-- Exercise 3: indexes for the two queries in `queries/`.
--
-- This file is run once, statement by statement, as the owner of the tables.

-- BEGIN PROMPT
-- -- What do your two queries compare, word for word?
-- END PROMPT
-- BEGIN SOLUTION
CREATE INDEX orders_created_at ON orders (created_at);
CREATE INDEX orders_lower_email ON orders (lower(email));
-- END SOLUTION
