-- What the last refresh saw of the ERP's last hour, before what this one saw is remembered. No parameters.
with quote as (
    delete from crm.account_data_recent_quote
)

delete from crm.account_data_recent_invoice
