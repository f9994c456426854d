-- Let the next account have the next number, and tell the planner what there is. No parameters.
select setval(pg_get_serial_sequence('crm.account', 'id'), (select max(id) from crm.account));
analyze crm.account, crm.account_activity, crm.account_data_due, crm.audience_account;
analyze erp.contract, erp.customer, erp.health_plan_adhesion, erp.invoice, erp.quote;
analyze erp.load_watermark, erp.payment, erp.product_category;
analyze erp.receivable, erp.sales_order, erp.sales_order_item, erp.signature_request;
