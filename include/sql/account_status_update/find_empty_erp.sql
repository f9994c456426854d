-- The tables that say which accounts are integrated and move, and say so of none although some were. Invoices
-- alone count as gone when the data refresh has seen some. No parameters.
select 'erp.customer' as table_name
where
    not exists (select from erp.customer)
    and exists (select from crm.account where erp_customer_id is not null and status <> 'not_integrated')
union all
select 'erp.invoice'
where
    not exists (select from erp.invoice)
    and (
        not exists (select from erp.sales_order)
        or exists (select from crm.account_data_state where greatest_invoice_id is not null)
    )
    and exists (select from crm.account where erp_customer_id is not null and status = 'active')
