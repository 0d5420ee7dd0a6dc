-- A little to capture from the first minute on.
CREATE DATABASE shop;
CREATE TABLE shop.customers (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  email VARCHAR(200) NOT NULL,
  name VARCHAR(200) NOT NULL,
  created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)
);
CREATE TABLE shop.orders (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  customer_id BIGINT NOT NULL,
  total DECIMAL(12, 2) NOT NULL,
  status ENUM ('new', 'paid', 'sent', 'returned') NOT NULL DEFAULT 'new',
  placed_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)
);
INSERT INTO shop.customers (email, name) VALUES ('ada@example.org', 'Ada'), ('grace@example.org', 'Grace');
INSERT INTO shop.orders (customer_id, total) VALUES (1, 12.50), (2, 99.00);
