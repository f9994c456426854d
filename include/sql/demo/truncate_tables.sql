-- Start the tables of the demonstration data anew; they are empty. No parameters.
truncate crm.account, crm.account_data_due, crm.audience, crm.audience_account restart identity;
truncate erp.contract, erp.customer, erp.invoice, erp.quote, erp.receivable, erp.sales_order;
truncate erp.sales_order_item, erp.signature_request;
