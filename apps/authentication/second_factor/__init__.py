"""The second factor of staff: what they have of it (factors), how it is set up (enrolment, passkeys), and what the
session of the admin knows of it (admin_session, fresh_proof)."""
