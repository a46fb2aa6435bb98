-- Exercise 6: an index for the list of all orders, the latest first.
--
-- This file is run once, statement by statement, as the owner of the tables.

-- In which order does the list show the orders?
