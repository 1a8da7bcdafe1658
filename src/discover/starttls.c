#include "discover/starttls.h"
#include <string.h>

const struct starttls *const starttls_protocols[] = {
    &starttls_smtp,     &starttls_imap,  &starttls_pop3, &starttls_ldap,
    &starttls_postgres, &starttls_mysql, &starttls_xmpp, NULL,
};

const struct starttls *starttls_find(const char *name)
{
    for (size_t i = 0; starttls_protocols[i]; i++)
        if (strcmp(starttls_protocols[i]->name, name) == 0)
            return starttls_protocols[i];
    return NULL;
}
