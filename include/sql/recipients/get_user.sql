-- Who a login is. Parameter: login.
select
    login,
    name,
    email,
    active
from crm.app_user
where login = %(login)s
