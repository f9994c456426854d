-- Take rendered e-mails. No parameters.
copy rendered (account_id, payload, problem) from stdin
