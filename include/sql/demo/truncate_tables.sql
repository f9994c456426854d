-- Start the tables of the demonstration data anew; they are empty. No parameters.
truncate crm.account, crm.account_class_change, crm.account_data_due, crm.account_status_change, crm.audience,
crm.audience_account, crm.class_rule, crm.inactive_account, crm.monitoring_profile, crm.account_activity,
crm.monitoring_profile_user restart identity;
truncate erp.contract, erp.customer, erp.health_plan_adhesion, erp.invoice, erp.quote;
truncate erp.load_watermark, erp.payment, erp.product_category;
truncate erp.receivable, erp.sales_order, erp.sales_order_item, erp.signature_request;
