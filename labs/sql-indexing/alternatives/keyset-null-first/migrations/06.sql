CREATE INDEX orders_list ON orders (created_at, id);
