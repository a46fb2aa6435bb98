-- Exercise 3: indexes for the two queries in `queries/`.
--
-- This file is run once, statement by statement, as the owner of the tables.

-- What do your two queries compare, word for word?
