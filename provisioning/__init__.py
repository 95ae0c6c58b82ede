"""The technician's side: certificates, brokers, enrolment, member cards, and the demo."""
