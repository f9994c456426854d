-- Tables of the demonstration data that have rows. No parameters.
select 'crm.account' as table_name where exists (select from crm.account)
union all
select 'crm.audience' where exists (select from crm.audience)
union all
select 'crm.class_rule' where exists (select from crm.class_rule)
union all
select 'crm.gateway' where exists (select from crm.gateway)
union all
select 'crm.monitoring_profile' where exists (select from crm.monitoring_profile)
union all
select 'erp.contract' where exists (select from erp.contract)
union all
select 'erp.customer' where exists (select from erp.customer)
union all
select 'erp.health_plan_adhesion' where exists (select from erp.health_plan_adhesion)
union all
select 'erp.invoice' where exists (select from erp.invoice)
union all
select 'erp.load_watermark' where exists (select from erp.load_watermark)
union all
select 'erp.payment' where exists (select from erp.payment)
union all
select 'erp.product_category' where exists (select from erp.product_category)
union all
select 'erp.quote' where exists (select from erp.quote)
union all
select 'erp.receivable' where exists (select from erp.receivable)
union all
select 'erp.sales_order' where exists (select from erp.sales_order)
union all
select 'erp.sales_order_item' where exists (select from erp.sales_order_item)
union all
select 'erp.signature_request' where exists (select from erp.signature_request)
order by table_name
