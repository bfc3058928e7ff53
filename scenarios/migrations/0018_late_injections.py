from django.db import migrations, models

import scenarios.domain.outcomes


class Migration(migrations.Migration):

    dependencies = [
        ('scenarios', '0017_order_of_runs'),
    ]

    operations = [
        migrations.AddField(
            model_name='fault',
            name='address',
            field=models.CharField(blank=True, db_default='', default='', help_text="Where the undo's service was when the fault was injected.", max_length=500),
        ),
        migrations.AddField(
            model_name='fault',
            name='late_seconds',
            field=models.FloatField(db_default=0.0, default=0.0, help_text='How long it may still arrive where its injection was not answered.'),
        ),
        migrations.AddField(
            model_name='fault',
            name='late_until',
            field=models.DateTimeField(blank=True, help_text='Undone again then: its injection was not answered.', null=True),
        ),
        migrations.AddField(
            model_name='fault',
            name='proof',
            field=models.JSONField(blank=True, help_text='The probe that shows that it is gone.', null=True),
        ),
        migrations.AlterField(
            model_name='fault',
            name='state',
            field=models.CharField(choices=[('injecting', 'injecting'), ('active', 'active'), ('outstanding', 'outstanding'), ('unverified', 'unverified'), ('watched', 'watched'), ('undone', 'undone'), ('not_injected', 'not injected'), ('acknowledged', 'acknowledged')], default=scenarios.domain.outcomes.FaultState['INJECTING'], max_length=12),
        ),
    ]
