"""What is counted around passwords. An account is the e-mail address that was given, whether it exists or not."""

from apps.core.limits import Counter, WithMeta, network_of

from .models import User


def passwords(request: WithMeta, email: str) -> tuple[Counter, Counter]:
    """For a try at the password of `email`, wherever it is asked for.

    The account's counter is one for each network, so that guessing locks out the guesser and not the owner.
    """
    network = network_of(request)
    account = User.objects.normalize_email(email)
    return (
        Counter("LIMIT_LOGIN_PER_ACCOUNT", f"{network} {account}"),
        Counter("LIMIT_LOGIN_PER_NETWORK", network),
    )
