-- A temporary table for the lines of a purchase file; no two imports at the same time. No parameters.
select pg_advisory_xact_lock(hashtext('rotina.demo.purchases'));
create temporary table purchase_line (
    line_number bigint primary key,
    code text not null,
    customer_id bigint not null,
    customer_name text not null,
    purchased_on date not null,
    value numeric(14, 2) not null
) on commit drop;
