-- The least that a redemption can be: the guarded UPDATE and the numbered use in one statement, on the product's tables.
-- pgbench -n -D user=ID -D last=N -f bench/floors/redeem.sql: of the codes 1 to N of the table
--     bench_code (number integer PRIMARY KEY, code varchar(16))
-- with many uses each. N = 1 is one hot code.
\set number random(1, :last)
WITH voucher AS (
    UPDATE vouchers_voucher SET uses_remaining = uses_remaining - 1
    WHERE code = (SELECT code FROM bench_code WHERE number = :number)
        AND is_active AND uses_remaining > 0 AND expiry_date > statement_timestamp()
    RETURNING id, service_type, total_uses - uses_remaining + uses_reversed AS use_no
)
INSERT INTO vouchers_voucherusage (voucher_id, user_id, service_type, used_at, details, use_no)
SELECT id, CAST(:user AS bigint), service_type, statement_timestamp(), '{}', use_no FROM voucher
RETURNING id, service_type, used_at, use_no;
