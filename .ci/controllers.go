// Runs the controllers of workloads in one namespace: Deployments get their ReplicaSets, these their pods, and
// disruption budgets are kept. It is compiled into kube-apiserver, most of which both need:
//
//	kube-apiserver controllers KUBECONFIG NAMESPACE
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/scale"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/kubernetes/pkg/controller/deployment"
	"k8s.io/kubernetes/pkg/controller/disruption"
	"k8s.io/kubernetes/pkg/controller/replicaset"
)

const workers = 2

// The server's own main function reads other arguments.
func init() {
	if len(os.Args) != 4 || os.Args[1] != "controllers" {
		return
	}
	if err := runControllers(os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runControllers(kubeconfig, namespace string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 500, 1000
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery()))
	resolver := scale.NewDiscoveryScaleKindResolver(client.Discovery())
	scales, err := scale.NewForConfig(config, mapper, dynamic.LegacyAPIPathResolverFunc, resolver)
	if err != nil {
		return err
	}
	shared := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace))
	core, apps := shared.Core().V1(), shared.Apps().V1()
	deployments, err := deployment.NewDeploymentController(apps.Deployments(), apps.ReplicaSets(), core.Pods(), client)
	if err != nil {
		return err
	}
	replicas := replicaset.NewReplicaSetController(apps.ReplicaSets(), core.Pods(), client, replicaset.BurstReplicas)
	disruptions := disruption.NewDisruptionController(
		core.Pods(), shared.Policy().V1beta1().PodDisruptionBudgets(), core.ReplicationControllers(),
		apps.ReplicaSets(), apps.Deployments(), apps.StatefulSets(), client, mapper, scales)

	stop := make(chan struct{})
	go deployments.Run(workers, stop)
	go replicas.Run(workers, stop)
	go disruptions.Run(stop)
	shared.Start(stop)
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, os.Interrupt)
	<-ended
	close(stop)
	return nil
}
