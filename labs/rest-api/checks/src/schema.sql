-- The tables of the shop, as each check finds them.

-- 1
CREATE TABLE items (
    id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name  text   NOT NULL,
    cents bigint NOT NULL
);
INSERT INTO items (name, cents)
SELECT 'thing ' || n, n * 100 FROM generate_series(1, 12) AS n;

-- Who may call: 5 and 6
CREATE TABLE users (
    id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name  text   NOT NULL,
    role  text   NOT NULL DEFAULT 'customer'
);
CREATE TABLE tokens (
    token   text   PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users
);

-- 2
CREATE TABLE customers (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text   NOT NULL,
    email      text   NOT NULL UNIQUE,
    birth_year bigint NOT NULL,
    street     text   NOT NULL,
    postcode   text   NOT NULL,
    city       text   NOT NULL
);

-- 3: many products of one name and of one price
CREATE TABLE products (
    id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name  text   NOT NULL,
    cents bigint NOT NULL
);
CREATE INDEX ON products (name, id);
CREATE INDEX ON products (cents, id);
INSERT INTO products (name, cents)
SELECT (ARRAY['Lamp', 'Chair', 'Oak table', 'Kettle'])[1 + n % 4] || ' ' || n % 37,
       100 * (n * 7919 % 23)
FROM generate_series(1, 400) AS n;

-- 4
CREATE TABLE pages (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    title      text        NOT NULL,
    text       text        NOT NULL,
    version    bigint      NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO pages (title, text)
SELECT 'Page ' || n, 'What stands on page ' || n FROM generate_series(1, 8) AS n;

-- 5
CREATE TABLE payments (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id    bigint NOT NULL REFERENCES users,
    order_name text   NOT NULL,
    cents      bigint NOT NULL,
    charge     text   NOT NULL
);
CREATE TABLE idempotency_keys (
    user_id     bigint      NOT NULL REFERENCES users,
    key         text        NOT NULL,
    fingerprint text        NOT NULL,
    answer      text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, key)
);

-- 6
CREATE TABLE orders (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users,
    note    text   NOT NULL,
    state   text   NOT NULL DEFAULT 'open'
);
CREATE TABLE order_lines (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id bigint NOT NULL REFERENCES orders,
    product  text   NOT NULL,
    quantity bigint NOT NULL
);
