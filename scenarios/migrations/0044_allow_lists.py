from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('scenarios', '0043_indexes_of_filters'),
    ]

    operations = [
        migrations.CreateModel(
            name='AllowList',
            fields=[
                ('name', models.CharField(choices=[('commands', 'commands'), ('pidfile-dirs', 'pidfile-dirs'), ('networks', 'networks')], max_length=40, primary_key=True, serialize=False)),
                ('entries', models.JSONField(help_text='None: all that the settings allow.', null=True)),
                ('changed_at', models.DateTimeField(null=True)),
                ('changed_by', models.CharField(blank=True, max_length=150)),
            ],
            options={
                'ordering': ['name'],
                'default_permissions': ('view', 'change'),
            },
        ),
        migrations.AddField(
            model_name='auditentry',
            name='detail',
            field=models.TextField(blank=True, default='', help_text='What was there before and after, where that is kept.'),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='namedservice',
            name='is_touched',
            field=models.BooleanField(default=True, help_text='False: the scenario only looks at it.'),
        ),
    ]
