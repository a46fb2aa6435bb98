-- Exercise 3: indexes for the two queries in `queries/`.
--
-- This file is run once, statement by statement, as the owner of the tables.

CREATE INDEX orders_day ON orders (((created_at AT TIME ZONE 'UTC')::date));
CREATE INDEX orders_lower_email ON orders (upper(email)) INCLUDE (id);
