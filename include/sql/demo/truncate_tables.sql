-- Start the tables of the demonstration data anew; they are empty. No parameters.
truncate crm.account, crm.account_data_due, crm.audience, crm.audience_account restart identity;
truncate erp.contract, erp.customer, erp.health_plan_adhesion, erp.invoice, erp.quote;
truncate erp.receivable, erp.sales_order, erp.sales_order_item, erp.signature_request;
