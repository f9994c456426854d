-- The tables that say which accounts are integrated and insured, and say so of none although some were. No
-- parameters.
select 'erp.customer' as table_name
where
    not exists (select from erp.customer)
    and exists (select from crm.account where erp_customer_id is not null and status <> 'not_integrated')
union all
select 'erp.health_plan_adhesion'
where
    not exists (select from erp.health_plan_adhesion)
    and exists (select from crm.account where erp_customer_id is not null and status = 'active')
