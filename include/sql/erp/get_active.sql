-- Whether the ERP integration is in use; no row when it is not set up. No parameters.
select active from crm.integration where code = 'erp'
