-- Customers whose invoices or quotes changed in the ERP, or have come of age since the last refresh. A
-- row that does not say when it changed counts as changed. Parameters: everything, invoices_since,
-- quotes_since, refreshed_through_on, business_date.
create temp table changed_customer on commit drop as
select customer_id from erp.invoice
where
    not %(everything)s
    and (updated_at > %(invoices_since)s or updated_at is null)
    and customer_id is not null
union
select customer_id from erp.invoice
where
    not %(everything)s
    and issued_on > %(refreshed_through_on)s and issued_on <= %(business_date)s
    and customer_id is not null
union
select customer_id from erp.quote
where
    not %(everything)s
    and (updated_at > %(quotes_since)s or updated_at is null)
    and customer_id is not null
union
select customer_id from erp.quote
where
    not %(everything)s
    and quoted_on > %(refreshed_through_on)s and quoted_on <= %(business_date)s
    and customer_id is not null
