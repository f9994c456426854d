-- Whether a monitoring profile has found accounts. Parameter: profile_id.
select exists(
    select from crm.inactive_account where profile_id = %(profile_id)s
)
