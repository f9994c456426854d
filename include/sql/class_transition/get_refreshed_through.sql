-- The business date through which the supplementary data are refreshed; no row before the first refresh.
-- No parameters.
select refreshed_through_on
from crm.account_data_state
