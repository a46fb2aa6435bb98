-- Exercise 3: indexes for the two queries in `queries/`.
--
-- This file is run once, statement by statement, as the owner of the tables.

-- Orders stand in the table as they came: to know the earliest and the latest of every four
-- pages is enough, and takes a hundredth of the room.
CREATE INDEX orders_created_at ON orders USING brin (created_at) WITH (pages_per_range = 4);
CREATE INDEX orders_lower_email ON orders (lower(email));
