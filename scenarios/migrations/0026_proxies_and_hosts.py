import django.core.validators
import scenarios.models.hosts
import scenarios.models.services
from django.contrib.auth.management import create_permissions
from django.db import migrations, models

VERBS = ("view", "add", "change", "delete", "protect")


def permit_hosts(apps, schema_editor):
    """Those who may do something with services may do it with hosts."""
    Group, Permission, User = (apps.get_model("auth", name) for name in ("Group", "Permission", "User"))
    if not Group.objects.exists() and not User.objects.exists():
        return  # permissions and groups are made after the last migration
    config = apps.get_app_config("scenarios")
    config.models_module = True
    create_permissions(config, apps=apps, verbosity=0, using=schema_editor.connection.alias)
    config.models_module = None
    named = {
        permission.codename: permission
        for permission in Permission.objects.filter(content_type__app_label="scenarios")
    }
    for verb in VERBS:
        service, host = named.get(f"{verb}_service"), named[f"{verb}_host"]
        for group in Group.objects.filter(permissions=service):
            group.permissions.add(host)
        for user in User.objects.filter(user_permissions=service):
            user.user_permissions.add(host)


class Migration(migrations.Migration):

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        ('contenttypes', '0002_remove_content_type_name'),
        ('scenarios', '0025_texts_in_plain_english'),
    ]

    operations = [
        migrations.CreateModel(
            name='Host',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=63, unique=True, validators=[django.core.validators.RegexValidator('\\A[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\\Z', "Use a-z, 0-9 and inner '-', at most 63 characters, as in 'exchange-latency'.")])),
                ('address', models.CharField(blank=True, default='', help_text='USER@HOST or USER@HOST:PORT. Leave empty for the machine of the worker itself.', max_length=500, validators=[scenarios.models.hosts.check_ssh_address], verbose_name='SSH address')),
                ('labels', models.JSONField(blank=True, default=dict, help_text='Names and values by which scenarios select hosts, such as {"role": "shop"}.', validators=[scenarios.models.hosts.check_labels])),
                ('description', models.TextField(blank=True)),
                ('is_protected', models.BooleanField(default=False, help_text='A run that acts on this host starts only after a second person has approved it.', verbose_name='protected')),
            ],
            options={
                'ordering': ['name'],
                'permissions': [('protect_host', 'Can protect a host, and change a protected one')],
            },
        ),
        migrations.AddField(
            model_name='run',
            name='pinned',
            field=models.JSONField(help_text="Its services' proxies and its hosts, as registered when the run was claimed.", null=True),
        ),
        migrations.AddField(
            model_name='service',
            name='proxy',
            field=models.CharField(blank=True, db_default='', default='', help_text='The control API of the fault proxy in front of the service, such as http://127.0.0.1:8474.', max_length=500, validators=[scenarios.models.services.check_proxy_url], verbose_name='fault proxy'),
        ),
        migrations.AddField(
            model_name='service',
            name='proxy_listener',
            field=models.CharField(blank=True, db_default='', default='', help_text="The proxy's listener for this service, as HOST:PORT. Leave empty if it has only one.", max_length=300, validators=[scenarios.models.services.check_listener]),
        ),
        migrations.AddField(
            model_name='service',
            name='proxy_secret',
            field=models.CharField(blank=True, db_default='FAULT_PROXY_TOKEN', default='FAULT_PROXY_TOKEN', help_text="The name of the secret with the proxy's token. It begins with FAULT_PROXY.", max_length=63, validators=[django.core.validators.RegexValidator('\\AFAULT_PROXY[A-Za-z0-9_-]{0,52}\\Z', "Begin the name with 'FAULT_PROXY', and use letters, digits, '_' and '-', as in 'FAULT_PROXY_TOKEN'.")]),
        ),
        migrations.AlterField(
            model_name='hold',
            name='service',
            field=models.CharField(max_length=68, primary_key=True, serialize=False),
        ),
        migrations.AlterField(
            model_name='service',
            name='base_url',
            field=models.CharField(help_text='For example http://127.0.0.1:9101, to which paths in steps are appended; or tcp://, postgres://, redis:// or grpc:// with host and port.', max_length=500, validators=[scenarios.models.services.check_base_url], verbose_name='base URL'),
        ),
        migrations.RunPython(permit_hosts, migrations.RunPython.noop),
    ]
