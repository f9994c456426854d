-- Keep everybody else out of the tables that the demonstration data go to, and read times as the clock in
-- São Paulo shows them. No parameters.
set local time zone 'America/Sao_Paulo';
set local maintenance_work_mem = '512MB';
lock table crm.account_activity, crm.monitoring_profile in access exclusive mode;
lock table crm.account, crm.account_data_due, crm.audience, crm.audience_account in access exclusive mode;
lock table erp.contract, erp.customer, erp.health_plan_adhesion, erp.invoice in access exclusive mode;
lock table erp.quote, erp.receivable, erp.sales_order, erp.sales_order_item in access exclusive mode;
lock table erp.load_watermark, erp.payment, erp.product_category in access exclusive mode;
lock table erp.signature_request in access exclusive mode;
